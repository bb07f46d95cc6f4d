# A server of one run: docker build -t gluetune . &&
# docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/runs/RUN:/model:ro" gluetune
FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir -c constraints.txt '.[serve,onnx]' \
    && useradd --create-home --uid 10001 gluetune

USER gluetune
ENV GLUETUNE_CACHE=/tmp/gluetune HF_HOME=/tmp/huggingface HF_HUB_OFFLINE=1
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["gluetune"]
CMD ["serve", "/model", "--host", "0.0.0.0"]
