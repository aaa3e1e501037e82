# vLLM with the plugin: docker build -f deploy/vllm.Dockerfile -t vita-omni-vllm .
FROM vllm/vllm-openai:v0.32.0

WORKDIR /opt/vita
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --disable-pip-version-check .
