#!/bin/sh
# ktbackup.sh: the original's command, by its options. It makes a backup as ktadmin backup create does: encrypted to the backup_recipients of
# keytrustee.yaml, and restored before it counts. docs/backup.md, "Coming from ktbackup.sh".
set -eu

usage() {
    cat <<'END'
usage: ktbackup.sh [OPTION]...
Make an encrypted backup of this host, restore it, and copy it to a directory.

  -c, --confdir=DIR         directory with the configuration (default /var/lib/keytrustee/.keytrustee)
      --database-port=PORT  port of PostgreSQL, where it is not the configured one
      --gpg-recipient=ID    make no backup unless this is one of the backup_recipients
      --output=DIR          copy the backup to DIR, which has to be there (default: it stays in backup_directory)
      --roll=N              with --output: keep the N newest backups of this host there (default: all)
  -q, --quiet               print the path of the backup, and nothing else
      --verbose             say what is done, which is what it does without -q
  -h, --help                print this

There are no backups in clear: --cleartext is refused. The exit statuses are those of ktadmin.
END
}

refuse() {
    printf 'ktbackup.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 2
}

number() {
    case $2 in
    '' | 0* | *[!0-9]* | ??????*) refuse "$1: \"$2\" is no number from 1 to 99999" 'ktbackup.sh --help' ;;
    esac
}

confdir='' port='' output='' roll='' recipient='' quiet=''
while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
    -q | --quiet) quiet=yes && continue ;;
    --verbose) continue ;;
    -h | --help) usage && exit 0 ;;
    --cleartext | --cleartext=*)
        refuse 'there are no backups in clear: whoever reads one has every key' 'leave --cleartext out; who can read the backups, backup_recipients in keytrustee.yaml says'
        ;;
    -c | --confdir | --database-port | --gpg-recipient | --output | --roll)
        [ $# -gt 0 ] || refuse "$option names nothing" 'ktbackup.sh --help'
        value=$1
        shift
        ;;
    --confdir=* | --database-port=* | --gpg-recipient=* | --output=* | --roll=*)
        value=${option#*=}
        option=${option%%=*}
        ;;
    -c*)
        value=${option#-c}
        option=-c
        ;;
    -*) refuse "there is no option $option" 'ktbackup.sh --help' ;;
    *) refuse "\"$option\" is no option" 'ktbackup.sh --help' ;;
    esac
    [ -n "$value" ] || refuse "$option names nothing" 'ktbackup.sh --help'
    case $option in
    -c | --confdir) confdir=$value ;;
    --database-port) number "$option" "$value" && port=$value ;;
    --gpg-recipient) recipient=$value ;;
    --output) output=$value ;;
    --roll) number "$option" "$value" && roll=$value ;;
    esac
done
[ -z "$roll" ] || [ -n "$output" ] ||
    refuse '--roll is of the directory of --output' 'name one; how many stay in backup_directory, backup_keep_hourly, backup_keep_daily and backup_keep_weekly in keytrustee.yaml say'

# The one that was installed with this file, whatever PATH says, and whatever lies in the directory where root happens to be: without a slash
# a shell was told to read this file, and has found it by PATH.
case $0 in
*/*) ktadmin=$(dirname -- "$0")/ktadmin ;;
*) ktadmin=/usr/bin/ktadmin ;;
esac
[ -x "$ktadmin" ] || refuse "there is no $ktadmin" 'call this file by its whole path, where it was installed: /usr/bin/ktbackup.sh'

set -- backup create --wait
[ -z "$confdir" ] || set -- "$@" "--confdir=$confdir"
[ -z "$recipient" ] || set -- "$@" "--recipient=$recipient"
[ -z "$output" ] || set -- "$@" "--copy-to=$output"
[ -z "$roll" ] || set -- "$@" "--keep=$roll"
if [ -n "$port" ]; then
    KEYTRUSTEE_DB_PORT=$port
    export KEYTRUSTEE_DB_PORT
fi
[ -n "$quiet" ] || exec "$ktadmin" "$@"

# What it says on the way matters to nobody when the backup is there, and to whoever reads cron's mail when it is not.
exec 3>&1
said=$("$ktadmin" "$@" --path-only 2>&1 >&3) || {
    status=$?
    printf '%s\n' "$said" >&2
    exit "$status"
}
