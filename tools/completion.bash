# SPDX-License-Identifier: Apache-2.0
# Completion of cgatewayctl for bash: commands, options, and the groups that the user
# may see.

_cgatewayctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local program=${COMP_WORDS[0]} command= word
    local commands='status top requests stacks check env reload restart start stop
        wait-ready drain undrain'

    COMPREPLY=()
    if [[ $previous == --runtime-dir ]]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ " "${commands//$'\n'/ }" " == *" $word "* ]] && command=$word && break
    done
    if [[ $current == -* ]]; then
        local options='--json --runtime-dir --help'
        case $command in
        reload | start) options+=' --no-wait --timeout' ;;
        restart) options+=' --now --no-wait --timeout' ;;
        stop) options+=' --now --timeout' ;;
        wait-ready) options+=' --timeout' ;;
        stacks) options+=' --all --timeout' ;;
        check) options+=' --request --timeout' ;;
        top) options+=' --interval --count --timeout' ;;
        status | requests | env | drain | undrain) options+=' --timeout' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -W "$("$program" status 2>/dev/null |
            sed 1d | cut -d' ' -f1 | grep -v ':$')" -- "$current")
    fi
}

complete -F _cgatewayctl cgatewayctl
