-- The tables of the demo, the same for the real sales and for generated ones.

\set ON_ERROR_STOP on
SET client_min_messages = warning;

DROP TABLE IF EXISTS sales, products, stores, promotions, true_probability, launch_features, launch_features_weekly CASCADE;

CREATE TABLE products (
    product_id       bigint PRIMARY KEY,
    manufacturer_id  bigint,
    department       text,
    brand            text,
    product_category text,
    product_type     text,
    package_size     text
);
COMMENT ON TABLE products IS 'What is sold: one row for each product';

CREATE TABLE stores (
    store_id bigint PRIMARY KEY,
    region   text NOT NULL
);
COMMENT ON TABLE stores IS 'Where it is sold: each store and its region';

CREATE TABLE promotions (
    product_id bigint NOT NULL,
    region     text NOT NULL,
    week       date NOT NULL,
    display    real NOT NULL,
    mailer     real NOT NULL
);
COMMENT ON TABLE promotions IS 'What is planned: products on display in the stores, or in the week''s advertisement';
COMMENT ON COLUMN promotions.week IS 'Monday of the week';
COMMENT ON COLUMN promotions.display IS 'Share of the region''s stores that display it';
COMMENT ON COLUMN promotions.mailer IS 'Share of the region''s stores that advertise it';

CREATE TABLE sales (
    household_id      bigint NOT NULL,
    store_id          bigint NOT NULL,
    basket_id         bigint NOT NULL,
    product_id        bigint NOT NULL,
    quantity          integer NOT NULL,
    sales_value       numeric(10, 2) NOT NULL,
    retail_disc       numeric(10, 2) NOT NULL,
    coupon_disc       numeric(10, 2) NOT NULL,
    coupon_match_disc numeric(10, 2) NOT NULL,
    week              smallint NOT NULL,
    sold_at           timestamp NOT NULL
);
COMMENT ON TABLE sales IS 'One row for each product in each basket';
COMMENT ON COLUMN sales.sales_value IS 'What the store took, discounts already off';
COMMENT ON COLUMN sales.retail_disc IS 'Discount from the loyalty card';
COMMENT ON COLUMN sales.coupon_disc IS 'Discount from a manufacturer''s coupon';
COMMENT ON COLUMN sales.coupon_match_disc IS 'Discount from the store matching a coupon';
COMMENT ON COLUMN sales.week IS 'Week of the data, counted from 1; its weeks need not start on a Monday';
