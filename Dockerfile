# syntax=docker/dockerfile:1
# docker build -t likeness .                    CPU (the default target)
# docker build -t likeness:gpu --target gpu .   NVIDIA GPU, through TensorFlow.js
ARG NODE_IMAGE=node:22-bookworm-slim
ARG CUDA_IMAGE=nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04

# ---- build: native parts are compiled here, so that no compiler is in what runs
FROM ${NODE_IMAGE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make python3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
COPY src/install/global-agent ./src/install/global-agent
RUN npm ci
COPY tsconfig.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev \
 && rm -rf node_modules/onnxruntime-node/bin/napi-v6/win32 node_modules/onnxruntime-node/bin/napi-v6/darwin

# ---- gpu-build: the same on the CUDA image's system, whose C library is the older one
FROM ${CUDA_IMAGE} AS gpu-build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates g++ make python3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
COPY --from=build /usr/local/include/node /usr/local/include/node
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
WORKDIR /app
COPY package.json package-lock.json ./
COPY src/install/global-agent ./src/install/global-agent
RUN npm ci
# The documented command for GPU users: the one package whose install script fetches the TensorFlow library.
RUN npm install --no-save @tensorflow/tfjs-node-gpu@4.22.0
COPY tsconfig.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --no-save \
 && npm install --no-save --omit=dev @tensorflow/tfjs-node-gpu@4.22.0 \
 && rm -rf node_modules/onnxruntime-node/bin/napi-v6/win32 node_modules/onnxruntime-node/bin/napi-v6/darwin

FROM ${CUDA_IMAGE} AS gpu
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1000 likeness \
 && useradd --uid 1000 --gid likeness --no-create-home --shell /usr/sbin/nologin likeness \
 && install --directory --owner=likeness --group=likeness /data
COPY --from=gpu-build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=gpu-build /app/node_modules ./node_modules
COPY --from=gpu-build /app/dist/src ./dist/src
COPY --from=gpu-build /app/dist/page ./dist/page
COPY package.json openapi.yaml ./
COPY models ./models
COPY examples/demo ./examples/demo
ENV NODE_ENV=production LIKENESS_HOST=0.0.0.0 LIKENESS_DATA=/data LIKENESS_DEVICE=tensorflow-gpu MALLOC_ARENA_MAX=2
USER likeness
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "node", "dist/src/cli.js"]
CMD ["serve"]

# ---- cpu: last, so that it is the target when none is named
FROM ${NODE_IMAGE} AS cpu
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && install --directory --owner=node --group=node /data
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist/src ./dist/src
COPY --from=build /app/dist/page ./dist/page
COPY package.json openapi.yaml ./
COPY models ./models
COPY examples/demo ./examples/demo
# On every address, so keys are required: see docker-compose.yml. Two arenas hold memory as low as jemalloc does (docs/operations.md), without a library in every process.
ENV NODE_ENV=production LIKENESS_HOST=0.0.0.0 LIKENESS_DATA=/data MALLOC_ARENA_MAX=2
USER node
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--", "node", "dist/src/cli.js"]
CMD ["serve"]
