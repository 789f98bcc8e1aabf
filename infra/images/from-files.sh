#!/bin/sh
# Runs a command with secrets from files: NAME_FROM=/run/secrets/x becomes NAME=<its content>. So no secret is in an image, a
# compose file or a manifest, and none on a command line.
set -eu
for name in $(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)_FROM=.*/\1/p'); do
    file=$(printenv "${name}_FROM")
    [ -r "$file" ] || { echo "${name}_FROM=$file: no such file can be read" >&2; exit 2; }
    export "$name=$(cat "$file")"
    unset "${name}_FROM"
done
exec "$@"
