# One image for controllers, workers and the commands that operate them.
#   docker build -t conclave .                  for processors
#   docker build -t conclave --target cuda .    for NVIDIA GPUs
# Nothing is downloaded but packages of Debian and npm, both by version or lockfile; for GPUs, the compiler from PyPI, by hash.
ARG NODE_IMAGE=node:20.20-bookworm-slim

FROM ${NODE_IMAGE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ccache cmake g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*
# Where a builder mounts /root/.cache/ccache and /root/.npm, what has not changed is neither compiled nor downloaded again.
ENV CMAKE_CXX_COMPILER_LAUNCHER=ccache \
    CCACHE_BASEDIR=/app \
    CCACHE_NOHASHDIR=1 \
    CCACHE_SLOPPINESS=locale
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-progress
COPY native native
RUN npm run build:native
COPY . .
# Of the sources only the programs that are not compiled stay, wherever they are.
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts --no-progress \
 && find controller -type f ! -name '*.mjs' -delete \
 && find controller -type d -empty -delete

# The backend of NVIDIA GPUs, by the compiler and for the sources of the addon above.
FROM build AS build-cuda
# Compute capabilities, such as "90a" for the H100 and H200 alone.
ARG CUDA_ARCHITECTURES="80;90a;100a"
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN CONCLAVE_CUDA_ARCHITECTURES="${CUDA_ARCHITECTURES}" npm run build:cuda

FROM ${NODE_IMAGE} AS runtime
# tini is the first process: it forwards signals and reaps what child processes leave.
RUN apt-get update \
 && apt-get install -y --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/*
LABEL org.opencontainers.image.title="Conclave" \
      org.opencontainers.image.description="Distributed inference for mixture-of-experts models" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/bin bin
COPY --from=build /app/proto proto
COPY --from=build /app/models models
COPY --from=build /app/charts/conclave/crds charts/conclave/crds
COPY --from=build /app/controller controller
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/native/build/conclave.node native/build/
RUN ln -s /app/bin/conclave.js /usr/local/bin/conclave
# Nothing is written but to /tmp: the root file system may be read-only.
USER 1000:1000
EXPOSE 8000 8001 8002 8003
ENTRYPOINT ["/usr/bin/tini", "--", "node", "/app/bin/conclave.js"]
CMD ["--help"]

# The driver's libraries are the host's: NVIDIA's container runtime adds those that these variables name.
FROM runtime AS cuda
COPY --from=build-cuda /app/native/build/conclave_cuda.so native/build/
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM runtime AS cpu
