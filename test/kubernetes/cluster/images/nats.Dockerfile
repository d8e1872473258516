# Stands in for the official image: nats-server and a shell, as that has them.
FROM debian:bookworm-slim
COPY nats-server /usr/local/bin/
USER 1000:1000
CMD ["nats-server"]
