-- Filters ask for a run's data as lists show it: flights:4.
ALTER TABLE runs RENAME COLUMN dataset TO data;
UPDATE runs SET data = data || ':' || json_extract_string(body, '$.dataset_version');
