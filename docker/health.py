"""Whether the service of this container answers: exit status 0 or 1. ``SLOTLANG_HEALTH``: its address, where the
container is started with another one."""

import json
import os
import ssl
import sys
import urllib.request

# no token is sent, and nothing leaves the container, so the certificate, which is for the outer name, is not checked
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
address = os.environ.get("SLOTLANG_HEALTH", "https://127.0.0.1:8443")
# a proxy of the environment has no business here
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
try:
    with opener.open(f"{address}/health", timeout=5) as answer:
        well = json.load(answer).get("status") == "ok"
except (OSError, ValueError) as problem:
    print(f"{address}: {problem}")
    well = False
sys.exit(0 if well else 1)
