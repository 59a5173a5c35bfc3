-- A record's whole content is its `body`, canonical JSON; beside it stand the fields that queries filter or sort by.
CREATE TABLE migrations (number INTEGER NOT NULL, name VARCHAR NOT NULL);

CREATE TABLE datasets (name VARCHAR PRIMARY KEY, settings VARCHAR NOT NULL);
CREATE TABLE dataset_versions (
    dataset VARCHAR NOT NULL, version INTEGER NOT NULL, hash VARCHAR NOT NULL, state VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL, PRIMARY KEY (dataset, version)
);
CREATE TABLE source_files (
    dataset VARCHAR NOT NULL, path VARCHAR NOT NULL, size BIGINT NOT NULL, mtime_ns BIGINT NOT NULL, hash VARCHAR NOT NULL,
    left_out BIGINT NOT NULL
);

CREATE TABLE pipelines (name VARCHAR PRIMARY KEY, path VARCHAR NOT NULL);

CREATE TABLE runs (
    id VARCHAR NOT NULL, pipeline VARCHAR NOT NULL, status VARCHAR NOT NULL, key VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL
);
CREATE TABLE run_metrics (run VARCHAR NOT NULL, metric VARCHAR NOT NULL, value DOUBLE NOT NULL);

CREATE TABLE model_versions (
    model VARCHAR NOT NULL, version INTEGER NOT NULL, key VARCHAR NOT NULL, run VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL, PRIMARY KEY (model, version)
);
CREATE TABLE approvals (
    model VARCHAR NOT NULL, version INTEGER NOT NULL, created_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL
);
CREATE TABLE aliases (
    model VARCHAR NOT NULL, alias VARCHAR NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (model, alias)
);
CREATE TABLE alias_changes (
    model VARCHAR NOT NULL, alias VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL
);

CREATE TABLE bentos (
    tag VARCHAR PRIMARY KEY, model VARCHAR NOT NULL, version INTEGER NOT NULL, key VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL
);
CREATE TABLE deployments (name VARCHAR PRIMARY KEY, body VARCHAR NOT NULL);
CREATE TABLE deployment_history (
    name VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL
);

CREATE TABLE audit (
    number BIGINT NOT NULL, moment VARCHAR NOT NULL, user_name VARCHAR NOT NULL, action VARCHAR NOT NULL,
    subject VARCHAR NOT NULL, details VARCHAR NOT NULL, previous VARCHAR NOT NULL, hash VARCHAR NOT NULL
);
