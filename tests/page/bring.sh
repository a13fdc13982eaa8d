#!/bin/sh
# Brings what tests in a browser need: Chromium from Debian, playwright from PyPI, axe-core from npm, the latter two into
# build/. Exit status 3, with the reason, where there is no Chromium or no playwright to be had.
set -u
cd "$(dirname "$0")/../.."
missing() { echo "test-page: $1: tests in a browser are skipped"; exit 3; }

if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null; then
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || missing "there is no Chromium (apt-get install chromium)"
    echo "test-page: installing Chromium"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; } >build/chromium.log 2>&1 \
        || missing "Chromium can't be installed (build/chromium.log says why)"
fi
python=.venv/bin/python
[ -d build/browser/playwright ] \
    || $python -m pip install --quiet --disable-pip-version-check --target build/browser "playwright==1.65.2" >build/playwright.log 2>&1 \
    || missing "playwright can't be installed (build/playwright.log says why)"
[ -f build/axe/node_modules/axe-core/axe.min.js ] \
    || npm install --silent --ignore-scripts --no-audit --no-fund --prefix build/axe "axe-core@4.14.1" >build/axe.log 2>&1 \
    || echo "test-page: axe-core can't be installed: the check with it is skipped (build/axe.log says why)"
exit 0
