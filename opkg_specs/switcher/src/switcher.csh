# SPDX-License-Identifier: GPL-2.0-or-later
# Loads the modules that were chosen with switcher(1), in place of those that an older choice
# loaded in the shell that this one comes from. Read after modules.csh, which has to be first.
if ( ! $?SWITCHER_LOADED ) setenv SWITCHER_LOADED ""
if ( $?MODULESHOME && ( -e /etc/switcher.ini || -e ~/.switcher.ini || "$SWITCHER_LOADED" != "" ) ) then
    set _switcher_chosen = "`/usr/bin/switcher --modules`"
    if ( "$_switcher_chosen" != "$SWITCHER_LOADED" ) then
        if ( "$SWITCHER_LOADED" != "" ) then
            module unload $SWITCHER_LOADED
        endif
        if ( "$_switcher_chosen" != "" ) then
            module load $_switcher_chosen
        endif
        setenv SWITCHER_LOADED "$_switcher_chosen"
    endif
    unset _switcher_chosen
endif
