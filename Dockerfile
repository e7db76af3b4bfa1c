# docker build -t guestprefs . && docker run -p 8080:8080 -v guestprefs:/data guestprefs
#
# Two stages: the first installs the locked packages and the service into /app, the second holds that folder and a Python, and has
# neither pip nor a compiler. It runs as an account without a name, keeps all it knows in /data, and makes its own key there.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.txt requirements-tools.txt ./
RUN python -m venv --without-pip /app \
 && pip install --quiet --require-hashes --no-compile -r requirements-tools.txt \
 && pip --python /app/bin/python install --quiet --require-hashes --no-compile --only-binary :all: -r requirements.txt
COPY pyproject.toml LICENSE ./
COPY api api
COPY prefs prefs
# Bytecode is made here, since at run time nothing under /app can be written; it is never checked against the source again.
RUN python -m hatchling build -t wheel -d /tmp/wheel \
 && pip --python /app/bin/python install --quiet --no-deps --no-index --no-compile /tmp/wheel/*.whl \
 && /app/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app/lib

FROM python:3.13-slim AS run
RUN rm -rf /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/lib/python3.13/ensurepip \
      /usr/local/lib/python3.13/site-packages/* /usr/local/lib/python3.13/idlelib \
 && install -d -o 65532 -g 65532 -m 700 /data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 GUESTPREFS_DATA=/data
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
CMD ["guestprefs", "serve", "--host", "0.0.0.0", "--port", "8080", "--data", "/data"]
