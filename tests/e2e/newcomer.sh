#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A newcomer's path, as it is documented, from nothing to a site in production:
# test_newcomer.py runs it as it stands here. It needs in PATH: apachectl,
# cgateway-serve, cgatewayctl, curl, and a python3 with Django. $PORT is the port
# of httpd, $TRY another free one, $SITES the directory of its virtual hosts, $LOGS
# that of their logs.
set -eu

say() { printf '\n== %s\n' "$*"; }

fetch() { # fetch <host> <path>: what the site answers
    curl --silent --show-error --max-time 60 --header "Host: $1" \
        "http://127.0.0.1:$PORT$2"
}

wait_for() { # wait_for <command...>: until it succeeds
    tries=600
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "waited in vain for: $*"; exit 1; }
        sleep 0.1
    done
}

project() { # project <name> <version>: a Django project with a page of its own
    python3 -m django startproject "$1"
    cat >"$1/$1/urls.py" <<PY
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def index(request):
    return HttpResponse(f"{settings.SETTINGS_MODULE} $2")

urlpatterns = [path("", index)]
PY
    echo 'ALLOWED_HOSTS = ["*"]' >>"$1/$1/settings.py"
    chmod -R a+rX "$1"
}

say "My own Django project, at once"
project shop one
cd shop
cgateway-serve shop.wsgi --settings shop.settings --port "$TRY" >../serve.txt 2>&1 &
serve=$!
wait_for grep -q "Ctrl-C ends it" ../serve.txt
wait_for curl --silent --fail "http://127.0.0.1:$TRY/"
curl --silent "http://127.0.0.1:$TRY/" | grep -x "shop.settings one"
kill -INT $serve
wait $serve

say "The same in production"
cgateway-serve shop.wsgi --settings shop.settings --name shop.example.com \
    --print-config | sed "s|\*:80|*:$PORT|; s|^ *ServerName.*|&\n    ErrorLog $LOGS/shop.log|" \
    >"$SITES/shop.conf"
apachectl configtest
apachectl start
wait_for cgatewayctl wait-ready
fetch shop.example.com / | grep -x "shop.settings one"
cd ..

say "A second site"
project blog one
(cd blog && cgateway-serve blog.wsgi --settings blog.settings --name blog.example.com \
    --print-config) |
    sed "s|\*:80|*:$PORT|; s|^ *ServerName.*|&\n    ErrorLog $LOGS/blog.log|" \
    >"$SITES/blog.conf"
apachectl configtest
apachectl graceful
wait_for sh -c "cgatewayctl status blog.example.com | grep -q serving"
fetch blog.example.com / | grep -x "blog.settings one"
fetch shop.example.com / | grep -x "shop.settings one"
cgatewayctl status

say "A deploy that is broken: the site goes on"
cp shop/shop/urls.py urls.py.good
echo "import a_module_that_is_missing" >>shop/shop/settings.py
if cgatewayctl reload shop.example.com >reload.txt 2>&1; then
    echo "the broken code was taken"
    exit 1
fi
cat reload.txt
grep "a_module_that_is_missing" reload.txt "$LOGS/shop.log" >/dev/null
grep "CGW0230" "$LOGS/shop.log" >/dev/null
fetch shop.example.com / | grep -x "shop.settings one"

say "The repaired version"
sed -i '/a_module_that_is_missing/d' shop/shop/settings.py
sed 's/ one"/ two"/' urls.py.good >shop/shop/urls.py
cgatewayctl reload shop.example.com
fetch shop.example.com / | grep -x "shop.settings two"

say "A request hangs: why?"
cat >>shop/shop/urls.py <<'PY'

def reserve(request):
    from multiprocessing import Lock
    lock = Lock()
    lock.acquire()
    lock.acquire()      # nobody will ever give it back

urlpatterns.append(path("reserve", reserve))
PY
cgatewayctl reload shop.example.com
curl --silent --header "Host: shop.example.com" "http://127.0.0.1:$PORT/reserve" &
hanging=$!
wait_for sh -c "cgatewayctl requests shop.example.com | grep -q /reserve"
cgatewayctl requests shop.example.com
cgatewayctl stacks shop.example.com | tee stacks.txt
grep "in reserve" stacks.txt >/dev/null
kill $hanging
wait $hanging || true

say "The end"
cgatewayctl restart --now shop.example.com
fetch shop.example.com / | grep -x "shop.settings two"
apachectl stop
