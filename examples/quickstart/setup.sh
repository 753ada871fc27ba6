#!/bin/sh
# Makes random secrets and a self-signed certificate for compose.yaml, once.
# Replace the secrets with those that your providers show you.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets tls

random() { head -c 32 /dev/urandom | base64; }
secret() { [ -e "secrets/$1" ] || printf '%s%s\n' "$2" "$(random)" > "secrets/$1"; }
secret github ''
secret partner ''
secret slack ''
secret stripe whsec_
secret standard-webhooks whsec_

if [ ! -e tls/tls.key ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
        -keyout tls/tls.key -out tls/tls.crt 2>/dev/null
fi

# Compose mounts files with the owner and the mode that they have here, and the
# containers run as a user of their own.
chmod 644 secrets/* tls/*
