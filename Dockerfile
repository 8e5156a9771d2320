FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/aigc
# The locked packages first: this layer is built again only when the lock changes.
COPY requirements/build.lock requirements/worker.lock requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.lock \
    && /opt/aigc/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/worker.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY aigc_worker aigc_worker
COPY tasks tasks
COPY worker worker
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/aigc/bin/pip install --no-cache-dir --no-deps --no-index /wheel/*.whl

FROM build AS build-sandbox
COPY requirements/sandbox.lock requirements/
RUN /opt/aigc/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/sandbox.lock

FROM python:3.12-slim AS base
ENV PATH=/opt/aigc/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AIGC_STATE_DIR=/var/lib/aigc-worker
# A volume that is mounted on the folder for the first time takes its owner from here.
RUN useradd --system --uid 10001 --user-group --no-create-home aigc \
    && install --directory --owner=aigc --group=aigc --mode=700 "$AIGC_STATE_DIR"
WORKDIR /app
COPY examples examples
USER 10001

# The local vendor, for trying things out: docker build --target sandbox
FROM base AS sandbox
COPY --from=build-sandbox /opt/aigc /opt/aigc
EXPOSE 8081
CMD ["aigc", "sandbox", "--host", "0.0.0.0", "--port", "8081"]

FROM base AS runtime
COPY --from=build /opt/aigc /opt/aigc
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 CMD ["aigc", "health"]
CMD ["aigc", "worker"]
