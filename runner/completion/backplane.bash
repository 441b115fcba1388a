# bash completion for backplane
_backplane() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} sub=${COMP_WORDS[1]}
    local board="--machine --set --memory --cpu --engine --hda --hdb --hdc --hdd --cdrom --drive --device --boot --vga --serial --parallel --debugcon --firmware --kernel --initrd --append --clock --control --help"
    COMPREPLY=()
    case $prev in
        --machine|-M)
            COMPREPLY=($(compgen -W "$(backplane machine list --names 2>/dev/null)" -- "$cur")); return ;;
        --cpu) COMPREPLY=($(compgen -W "$(backplane cpu list --names 2>/dev/null)" -- "$cur")); return ;;
        --engine) COMPREPLY=($(compgen -W "auto interp kvm none" -- "$cur")); return ;;
        --at) COMPREPLY=($(compgen -W "icount= end:save=" -- "$cur")); compopt -o nospace; return ;;
        --display) COMPREPLY=($(compgen -W "none" -- "$cur")); return ;;
        --kind) COMPREPLY=($(compgen -W "device pci backend" -- "$cur")); return ;;
        --policy) COMPREPLY=($(compgen -W "qemu-0.12 auto" -- "$cur")); return ;;
        --translation) COMPREPLY=($(compgen -W "auto none lba large rechs" -- "$cur")); return ;;
        --fix) COMPREPLY=($(compgen -W "bpb hidden table" -- "$cur")); return ;;
        --clock) COMPREPLY=($(compgen -W "realtime deterministic" -- "$cur")); return ;;
        --control|--gdb) COMPREPLY=($(compgen -W "unix: tcp:127.0.0.1:" -- "$cur")); compopt -o nospace; return ;;
        --serial|--debugcon|--parallel) COMPREPLY=($(compgen -W "stdio none pty file: unix:" -- "$cur")); compopt -o nospace; return ;;
        --hda|--hdb|--hdc|--hdd|--cdrom|--firmware|--kernel|--initrd|--script|--restore|--record|--replay|--trace-file|--trace-instructions|--output|-o|--journal|--undo) compopt -o default; return ;;
        inspect) compopt -o default; COMPREPLY=($(compgen -W "$(backplane plugin list --names 2>/dev/null)" -- "$cur")); return ;;
        info) compopt -o default; [[ $cur == -* ]] || return ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "run machine cpu plugin disk snapshot ctl import qemu --version --help" -- "$cur")); return
    fi
    case $sub in
        run)
            if [[ $cur == -* ]]; then
                COMPREPLY=($(compgen -W "$board --display --log --trace --trace-file --trace-instructions --script --restore --force --record --replay --at --no-reboot --paused --gdb --stats" -- "$cur"))
            else compopt -o default; fi ;;
        machine)
            if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "list show check graph schema" -- "$cur"))
            elif [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$board --output" -- "$cur"))
            else compopt -o default; fi ;;
        cpu)
            if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "list" -- "$cur"))
            else COMPREPLY=($(compgen -W "--names --help" -- "$cur")); fi ;;
        import)
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--output --force" -- "$cur"))
            else compopt -o default; fi ;;
        qemu) compopt -o default ;;
        ctl)
            case $prev in
                save|load|reload|screendump) compopt -o default; return ;;
            esac
            COMPREPLY=($(compgen -W "status stop cont reset powerdown quit stats tree get set hmp key screendump save load reload trace log
                --control --events --force --help" -- "$cur")) ;;
        plugin)
            if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "list inspect new lint reload" -- "$cur"))
            elif [[ $cur == -* && ${COMP_WORDS[2]} == new ]]; then COMPREPLY=($(compgen -W "--kind --output" -- "$cur"))
            elif [[ $cur == -* && ${COMP_WORDS[2]} == reload ]]; then COMPREPLY=($(compgen -W "--control" -- "$cur"))
            else compopt -o default; fi ;;
        disk)
            if [ "$COMP_CWORD" -eq 2 ]; then
                COMPREPLY=($(compgen -W "info create convert check resize snapshot map compare bench commit rebase doctor report" -- "$cur"))
            elif [[ $prev == snapshot ]]; then COMPREPLY=($(compgen -W "list create apply delete" -- "$cur"))
            elif [[ $cur == -* ]]; then
                local new="--format --backing --backing-format --cluster-size --compression-type --refcount-bits --compat --lazy-refcounts --preallocation --force"
                case ${COMP_WORDS[2]} in
                    info | map) COMPREPLY=($(compgen -W "--format --json --help" -- "$cur")) ;;
                    create) COMPREPLY=($(compgen -W "$new --help" -- "$cur")) ;;
                    convert) COMPREPLY=($(compgen -W "$new --source-format --snapshot --compress --help" -- "$cur")) ;;
                    check) COMPREPLY=($(compgen -W "--format --repair --json --help" -- "$cur")) ;;
                    resize) COMPREPLY=($(compgen -W "--format --shrink --help" -- "$cur")) ;;
                    snapshot) COMPREPLY=($(compgen -W "--format --json --help" -- "$cur")) ;;
                    bench) COMPREPLY=($(compgen -W "--format --write --size --step --depth --count --pattern --cache --io --json --help" -- "$cur")) ;;
                    compare) COMPREPLY=($(compgen -W "--format-a --format-b --strict --help" -- "$cur")) ;;
                    commit) COMPREPLY=($(compgen -W "--format --help" -- "$cur")) ;;
                    rebase) COMPREPLY=($(compgen -W "--format --backing --backing-format --unsafe --help" -- "$cur")) ;;
                    doctor) COMPREPLY=($(compgen -W "--format --policy --chs --translation --lchs --json --fix --partition --journal --undo --help" -- "$cur")) ;;
                    report) COMPREPLY=($(compgen -W "--output --format --seconds --writable --help" -- "$cur")) ;;
                esac
            else compopt -o default; fi ;;
        snapshot)
            if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "save list info diff" -- "$cur"))
            elif [[ $cur == -* ]]; then
                case ${COMP_WORDS[2]} in
                    info) COMPREPLY=($(compgen -W "--json --help" -- "$cur")) ;;
                    diff) COMPREPLY=($(compgen -W "--memory --ignore --help" -- "$cur")) ;;
                esac
            else compopt -o default; fi ;;
    esac
}
complete -F _backplane backplane
