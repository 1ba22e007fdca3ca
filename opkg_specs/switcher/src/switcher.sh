# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Loads the modules that were chosen with switcher(1), in place of those that an older choice
# loaded in the shell that this one comes from. Read after modules.sh, which has to be first.
if [ -e /etc/switcher.ini ] || [ -e "$HOME/.switcher.ini" ] || [ -n "${SWITCHER_LOADED-}" ]; then
    if type module > /dev/null 2>&1; then
        _switcher_chosen=$(/usr/bin/switcher --modules)
        if [ "$_switcher_chosen" != "${SWITCHER_LOADED-}" ]; then
            # The names are to be words of their own.
            # shellcheck disable=SC2086
            [ -z "${SWITCHER_LOADED-}" ] || module unload $SWITCHER_LOADED
            # shellcheck disable=SC2086
            [ -z "$_switcher_chosen" ] || module load $_switcher_chosen
            export SWITCHER_LOADED="$_switcher_chosen"
        fi
        unset _switcher_chosen
    fi
fi
