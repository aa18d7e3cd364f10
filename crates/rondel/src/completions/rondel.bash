# Completions of rondel for bash, version 4.3 and later.
_rondel() {
    local line=${COMP_LINE:0:COMP_POINT} word space words=() prefix=
    # Bash splits words at : and =, which names and options have. What no space separates is one word.
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        space=${line%%[![:space:]]*}
        line=${line#"$space"}
        [[ ${line:0:${#word}} == "$word" ]] || word=$line
        if [[ -n $space || ${#words[@]} -eq 0 ]]; then
            words+=("$word")
        else
            words[-1]+=$word
        fi
        line=${line#"$word"}
    done
    words=("${words[@]//[\'\"\\]/}")
    # Bash replaces only what follows the last of these signs.
    local current=${words[-1]} breaks=${COMP_WORDBREAKS//[^:=]/}
    [[ -n $breaks ]] && prefix=${current%"${current##*[$breaks]}"}
    mapfile -t COMPREPLY < <(VARIABLE=bash "${1/#\~\//$HOME/}" -- "${words[@]}" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=:] ]]; then
        compopt -o nospace
    fi
}
complete -o bashdefault -o nosort -F _rondel rondel
