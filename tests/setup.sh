#!/bin/sh
# Makes what the tests with real client SDKs need, in target/: a Python environment and a folder of node modules,
# with the versions pinned in tests/clients. Run it again at any time: it does nothing when nothing has changed.
set -eu
cd "$(dirname "$0")/.."
clients=tests/clients

fresh() { [ -f "$2/.made-from" ] && cmp -s "$1" "$2/.made-from"; }

if ! fresh $clients/requirements.txt target/pyenv; then
    python3 -m venv --clear target/pyenv
    target/pyenv/bin/pip install --quiet --disable-pip-version-check -r $clients/requirements.txt
    # Its dependencies are those of a server with a GPU; the client needs only what is in requirements.txt.
    target/pyenv/bin/pip install --quiet --disable-pip-version-check --no-deps whisper-live==0.10.0
    cp $clients/requirements.txt target/pyenv/.made-from
fi

if command -v npm >/dev/null; then
    if ! fresh $clients/package.json target/node; then
        mkdir -p target/node
        cp $clients/package.json target/node/
        npm install --prefix target/node --no-audit --no-fund --silent
        cp $clients/package.json target/node/.made-from
    fi
else
    echo "setup: npm is not installed, the JavaScript SDK tests will be skipped" >&2
fi
