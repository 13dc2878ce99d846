# SPDX-License-Identifier: Apache-2.0
"""What mod_wsgi has, and what becomes of it. A guard compares these tables with
docs/migrating-from-mod_wsgi.md."""

NOT = "NOT CONVERTED: "

# WSGIDaemonProcess option -> directive, and what to know about it ("" for nothing)
OPTIONS = {
    "processes": ("CGatewayProcesses", ""),
    "threads": ("CGatewayThreads", ""),
    "home": ("CGatewayWorkingDirectory", ""),
    "user": ("CGatewayUser", ""),
    "group": ("CGatewayUser", ""),
    "umask": ("CGatewayUmask", ""),
    "python-home": ("CGatewayPython", ""),
    "python-path": ("CGatewayPath", ""),
    "lang": ("CGatewayEnv", ""),
    "locale": ("CGatewayEnv", ""),
    "python-eggs": ("CGatewayEnv", ""),
    "maximum-requests": ("CGatewayMaxRequests", ""),
    "restart-interval": ("CGatewayMaxLifetime", ""),
    "startup-timeout": ("CGatewayStartTimeout", ""),
    "graceful-timeout": ("CGatewayDrainTimeout", ""),
    "eviction-timeout": ("CGatewayDrainTimeout", ""),
    "shutdown-timeout": ("CGatewayDrainTimeout", ""),
    "supplementary-groups": ("", "the groups of the user's account are taken"),
    "display-name": ("", "every process names its group in ps"),
    "inactivity-timeout": ("CGatewayIdleTimeout", ""),
    "deadlock-timeout": ("CGatewayDeadlockTimeout", ""),
    "interrupt-timeout": ("", "no equivalent"),
    "request-timeout": ("CGatewayRequestTimeout", ""),
    "queue-timeout": ("CGatewayQueueTimeout", ""),
    "listen-backlog": ("CGatewayQueueSize", ""),
    "connect-timeout": ("", "a full queue (CGatewayQueueSize) answers 503 at once"),
    "socket-timeout": ("", "not needed"),
    "response-socket-timeout": ("", "a slow client holds no worker; see "
                                    "CGatewayResponseBuffer"),
    "send-buffer-size": ("", "not needed"),
    "receive-buffer-size": ("", "not needed"),
    "header-buffer-size": ("", "not needed: headers have room for 4 MiB"),
    "response-buffer-size": ("", "see CGatewayResponseBuffer"),
    "response-flush-delay": ("", "what an application sends before it pauses is sent "
                                 "at once"),
    "stack-size": ("CGatewayLimit", ""),
    "switch-interval": ("", "sys.setswitchinterval() in the application"),
    "socket-user": ("", "sockets always belong to httpd's User"),
    "script-user": ("", "not needed: the file of the application is named"),
    "script-group": ("", "not needed: the file of the application is named"),
    "server-metrics": ("", "cgatewayctl status shows the processes"),
    "cpu-time-limit": ("CGatewayLimit", ""),
    "cpu-priority": ("CGatewayNice", ""),
    "memory-limit": ("CGatewayLimit", ""),
    "virtual-memory-limit": ("CGatewayLimit", ""),
    "chroot": ("CGatewayChroot", ""),
    "newrelic-config-file": ("", "wrap the application in the .wsgi file, as New Relic "
                                 "documents it"),
    "newrelic-environment": ("", "wrap the application in the .wsgi file"),
}

# Directives whose value becomes part of a group or a mount -> why the line is gone.
MOVED = {
    "WSGIDaemonProcess": "", "WSGIProcessGroup": "", "WSGICallableObject": "",
    "WSGIPythonHome": "", "WSGIPythonPath": "", "WSGIPythonEggs": "",
    "WSGIPythonOptimize": "", "WSGIPythonHashSeed": "", "WSGIPythonWarnings": "",
    "WSGIDontWriteBytecode": "", "WSGIScriptReloading": "", "WSGIPassAuthorization": "",
    "WSGIErrorOverride": "", "WSGIScriptAlias": "", "WSGIScriptAliasMatch": "",
}
# Directives that say nothing any more -> why.
GONE = {
    "WSGIApplicationGroup": "each group has interpreters of its own, and is their "
                            "only application",
    "WSGISocketPrefix": "sockets are in CGatewayRuntimeDir, which has a good default",
    "WSGISocketRotation": "a group keeps its socket",
    "WSGIAcceptMutex": "there is no such lock",
    "WSGIChunkedRequest": "chunked requests are always served",
    "WSGICaseSensitivity": "URLs are compared as they are",
    "WSGIDestroyInterpreter": "processes simply end",
    "WSGIEnableSendfile": "files are always sent by httpd itself (wsgi.file_wrapper)",
    "WSGIIgnoreActivity": "every request keeps its group awake (CGatewayIdleTimeout)",
    "WSGIImportScript": "every group is loaded when httpd starts",
    "WSGILazyInitialization": "httpd never runs Python; see CGatewayStart",
    "WSGIMapHEADToGET": "HEAD reaches the application as HEAD, and its body is dropped",
    "WSGINewRelicConfigFile": "wrap the application in the .wsgi file",
    "WSGINewRelicEnvironment": "wrap the application in the .wsgi file",
    "WSGIPassApacheRequest": "the application has no access to httpd's memory",
    "WSGIRestrictEmbedded": "httpd never runs Python",
    "WSGIRestrictProcess": "a virtual host answers from the groups that it mounts",
    "WSGIRestrictSignal": "applications may set signal handlers",
    "WSGIRestrictStdin": "stdin is /dev/null",
    "WSGIRestrictStdout": "what is printed goes to the error log",
    "WSGIServerMetrics": "cgatewayctl status shows the processes",
    "WSGIVerboseDebugging": "LogLevel cgateway:debug",
    "WSGISwitchInterval": "sys.setswitchinterval() in the application",
    "WSGIFreeThreading": "CGatewayPython names an interpreter with its lock",
    "WSGIPerInterpreterGIL": "processes do not share interpreters",
    "WSGISlowRequests": "no equivalent",
    "WSGITelemetryService": "no equivalent",
    "WSGIPy3kWarningFlag": "Python 2 is gone",
}
# Directives that a person has to look at -> what to do.
BY_HAND = {
    "WSGITrustedProxies": "use mod_remoteip: RemoteIPHeader X-Forwarded-For and "
                          "RemoteIPInternalProxy with these addresses",
    "WSGITrustedProxyHeaders": "use mod_remoteip, and for the scheme SetEnvIf "
                               "X-Forwarded-Proto https HTTPS=on",
    "WSGIAccessScript": "httpd's Require, or the application itself",
    "WSGIAuthUserScript": "CGatewayAuthFunctions with the module:function that the "
                          "script has; nobody is let in before",
    "WSGIAuthGroupScript": "CGatewayAuthFunctions with the module:function that the "
                           "script has, as the second word; nobody is let in before",
    "WSGIGroupAuthoritative": "see WSGIAuthGroupScript",
    "WSGIHandlerScript": "give the application a URL: CGatewayMount, or SetHandler "
                         "cgateway:<group>",
    "WSGIDispatchScript": "write a virtual host or a mount for each application",
    "WSGIApplicationWrapper": "wrap the application in the .wsgi file",
}
ALIAS_OPTIONS = ("process-group", "application-group", "callable-object",
                 "pass-authorization")
CANONICAL = {name.lower(): name for name in [*MOVED, *GONE, *BY_HAND]}

# Server-wide settings of the interpreter -> environment variable.
VARIABLES = {
    "WSGIPythonOptimize": "PYTHONOPTIMIZE",
    "WSGIPythonHashSeed": "PYTHONHASHSEED",
    "WSGIPythonWarnings": "PYTHONWARNINGS",
}
