# harness in a container: docs/docker.md says how to use it.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY harness harness
COPY studies studies
COPY experiments experiments
RUN python -m venv /opt/harness
RUN /opt/harness/bin/pip install --no-cache-dir -c constraints.txt ".[postgresql]"

FROM python:3.12-slim
# LightFM's own engine (hybrid, engine = "lightfm") needs OpenMP.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
# All that is written goes to /work, /cache or /tmp: the rest may be read-only.
# Any user may write there: `docker run --user` makes the files those of whoever calls it.
RUN useradd --uid 1000 --no-create-home harness && install -d -m 1777 -o harness -g harness /work /cache /artifacts
COPY --from=build /opt/harness /opt/harness
ENV PATH=/opt/harness/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    USER=harness \
    XDG_CACHE_HOME=/cache \
    MPLCONFIGDIR=/tmp/matplotlib
USER harness
WORKDIR /work
ENTRYPOINT ["harness"]
CMD ["--help"]
