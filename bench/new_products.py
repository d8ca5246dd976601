"""The feature views of new products: built whole, one week more, and a COPY of their rows."""

from measure import seconds

VIEW = "new_products"
VIEWS = (f"{VIEW}_weekly", VIEW)
CREATE = f"""SELECT reco.create_launch_features('{VIEW}', sales => 'sales', products => 'products', stores => 'stores',
    amount => 'sales_value', discount => '{{retail_disc,coupon_disc,coupon_match_disc}}', customer => 'household_id',
    category => 'product_category', attributes => '{{brand,department}}')"""


def build(connection):
    """Seconds that all finished weeks of both views take, from nothing."""
    connection.execute(
        f"SELECT reco.drop_feature_view(oid, with_inputs => true) FROM pg_class WHERE oid = to_regclass('{VIEW}')"
    )
    connection.execute(CREATE)
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CALL reco.refresh_features('{VIEW}')")


def copy(connection):
    """Seconds of a binary COPY of the rows of both into tables with the same keys and indexes, which are empty."""
    return sum(copy_one(connection, view) for view in VIEWS)


def copy_one(connection, view):
    (folder,) = connection.execute("SHOW data_directory").fetchone()
    file = f"{folder}/{view}.copy"
    connection.execute(f"COPY (SELECT * FROM {view}) TO '{file}' (FORMAT binary)")
    connection.execute("DROP TABLE IF EXISTS copied")
    connection.execute(f"CREATE TABLE copied (LIKE {view}, PRIMARY KEY (product_id, region, week))")
    connection.execute("CREATE INDEX ON copied (week)")
    connection.execute("CHECKPOINT")
    return seconds(connection, f"COPY copied FROM '{file}' (FORMAT binary)")


def refresh_one_week(connection):
    """Seconds that the newest week of both takes when all before it are there."""
    for view in VIEWS:
        connection.execute(f"DELETE FROM {view} WHERE week = (SELECT max(week) FROM {view})")
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CALL reco.refresh_features('{VIEW}', lookback => 0)")
