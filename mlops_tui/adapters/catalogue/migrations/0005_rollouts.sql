-- Challengers beside what a deployment serves: a canary or a shadow, one a deployment.
CREATE TABLE challengers (name VARCHAR PRIMARY KEY, body VARCHAR NOT NULL);
