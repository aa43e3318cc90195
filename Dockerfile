# syntax=docker/dockerfile:1
#
# Two images: `bridge` is light and holds no torch, `embedder` holds the default back end and the default model.
#
#     docker build --target bridge --tag opensearch-embedding-sidecar-bridge .
#     docker build --target embedder --tag opensearch-embedding-sidecar-embedder .
#
# torch comes with CUDA libraries (some GB) unless pip finds a smaller build: name the index of its CPU builds with
# --build-arg PIP_EXTRA_INDEX_URL=...

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY ingest_pipelines ingest_pipelines
COPY sidecar sidecar
# Versions without hashes, so that torch may come from another index.
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && grep --only-matching --extended-regexp '^[A-Za-z0-9._-]+==[^ ;]+' constraints.txt > /wheels/versions.txt

FROM python:3.11-slim-bookworm AS base
# HOME: the root file system is read-only where this runs as the compose file says; libraries keep their caches in /tmp.
ENV HOME=/tmp \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin sidecar \
    && install --directory --owner sidecar --group sidecar /var/lib/sidecar /var/lib/sidecar/models
WORKDIR /var/lib/sidecar

FROM base AS bridge
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --constraint /wheels/versions.txt /wheels/*.whl
USER 10001:10001
EXPOSE 9201 9202
ENTRYPOINT ["sidecar"]
CMD ["bridge"]

FROM base AS embedder
ARG PIP_EXTRA_INDEX_URL
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --constraint /wheels/versions.txt "$(echo /wheels/*.whl)[embedder,minilm]"
USER 10001:10001
EXPOSE 50051 8081
ENTRYPOINT ["sidecar"]
CMD ["embedder"]
