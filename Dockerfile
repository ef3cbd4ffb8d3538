# A small image that runs the connector as a user without rights; settings come at run time.
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY connector connector
COPY migrations migrations
RUN python -m venv /opt/intercom-warehouse \
 && /opt/intercom-warehouse/bin/pip install --no-cache-dir --disable-pip-version-check . \
 && find /opt/intercom-warehouse -name __pycache__ -prune -exec rm -rf {} + \
 && /opt/intercom-warehouse/bin/pip uninstall --yes --quiet pip setuptools

FROM python:3.11-slim
COPY --from=build /opt/intercom-warehouse /opt/intercom-warehouse
ENV PATH=/opt/intercom-warehouse/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["intercom-warehouse"]
CMD ["sync"]
