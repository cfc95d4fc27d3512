# The service of a trained model on a CPU:
#
#   docker build -t mdsrec .
#   docker run --rm -p 127.0.0.1:8000:8000 -v ./runs/shop:/model:ro mdsrec
#
# Options of mdsrec serve follow the name of the image: mdsrec /model --host 0.0.0.0 --workers 2.
# docker kill --signal=HUP loads the model anew.

FROM python:3.12-slim AS build
WORKDIR /source
# What the source archive holds, and no more: the wheel is the same as the released one.
COPY pyproject.toml setup.cfg MANIFEST.in README.md LICENSE ./
COPY mdsrec_pyg mdsrec_pyg
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
# First, as it is large and seldom changes; PyPI's build would bring CUDA along.
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[serve]" && rm -r /wheels
RUN useradd --system --uid 10001 --no-create-home mdsrec
USER 10001
ENV PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["mdsrec", "serve"]
# Within the container everybody is outside: what may reach it is said by -p.
CMD ["/model", "--host", "0.0.0.0"]
