-- The act watch. Parts, reports and decisions are many and small: only what is looked up by has a column of its own.
CREATE TABLE segments (
    deployment VARCHAR NOT NULL, name VARCHAR NOT NULL, gathered BIGINT NOT NULL, PRIMARY KEY (deployment, name)
);
CREATE TABLE prediction_parts (
    deployment VARCHAR NOT NULL, version INTEGER NOT NULL, first TIMESTAMP NOT NULL, last TIMESTAMP NOT NULL,
    body VARCHAR NOT NULL
);
CREATE TABLE label_parts (deployment VARCHAR NOT NULL, number INTEGER NOT NULL, body VARCHAR NOT NULL);

CREATE TABLE monitor_reports (
    id VARCHAR NOT NULL, deployment VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL,
    routine BOOLEAN NOT NULL, hash VARCHAR NOT NULL
);
CREATE TABLE trials (key VARCHAR PRIMARY KEY, body VARCHAR NOT NULL);
CREATE TABLE decisions (
    id VARCHAR NOT NULL, pipeline VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL, fires BOOLEAN NOT NULL,
    answered BOOLEAN NOT NULL, body VARCHAR NOT NULL
);
CREATE TABLE notices (id VARCHAR PRIMARY KEY, open BOOLEAN NOT NULL, created_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL);
