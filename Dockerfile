FROM python:3.13-slim
WORKDIR /app
COPY requirements/runtime.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/runtime.txt && useradd --system wagerledger \
    && install -d -o wagerledger /anchors
COPY patience patience
COPY schemas schemas
COPY runtime runtime
COPY ledger ledger
COPY evidence evidence
COPY audit audit
COPY gateway gateway
COPY outbox_relay outbox_relay
COPY projector projector
COPY sealer sealer
COPY sandbox sandbox
COPY bench bench
COPY cli cli
USER wagerledger
ENTRYPOINT ["python", "-m", "cli"]
