# A service of built adapters (docs/serving.md, "In a container").
#
#   docker build -t slotlang .
#   docker run -v "$PWD/service:/srv/adapters:ro" -v state:/srv/slotlang -v "$PWD/tls:/run/tls:ro" -p 8443:8443 slotlang
#
# No token and no key is in the image: tokens and sessions are below /srv/slotlang, the certificate below /run/tls.

FROM python:3.11.13-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml hatch_build.py requirements.lock README.md LICENSE ./
COPY docs docs
COPY grammar grammar
COPY programs programs
COPY slotlang slotlang
COPY slotlang_runtime slotlang_runtime
# the lock holds tools of development too; as constraints it gives the versions of what is needed alone
ENV PIP_CONSTRAINT=/source/requirements.lock
RUN python -m venv /opt/slotlang \
    && /opt/slotlang/bin/python -m pip install --no-cache-dir .

FROM python:3.11.13-slim-bookworm
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /srv/slotlang --shell /usr/sbin/nologin slotlang \
    && chmod 700 /srv/slotlang
COPY --from=build /opt/slotlang /opt/slotlang
COPY docker/health.py /opt/slotlang/health.py
ENV PATH=/opt/slotlang/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SLOTLANG_KERNEL_CACHE=/srv/slotlang/kernels
WORKDIR /srv/slotlang
USER 10001:10001
VOLUME ["/srv/slotlang"]
EXPOSE 8443
# SIGTERM ends requests under way first, for 60 s at most: stop with --time 70
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 CMD ["python", "/opt/slotlang/health.py"]
# other machines reach it by TLS alone: without a certificate the service refuses this address (SL563)
ENTRYPOINT ["slotlang"]
CMD ["serve", "/srv/adapters", "--state", "/srv/slotlang/state", "--host", "0.0.0.0", "--port", "8443", "--ssl-certfile", "/run/tls/cert.pem", "--ssl-keyfile", "/run/tls/key.pem"]
