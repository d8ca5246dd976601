LEFT JOIN plan_{n} AS p{n} ON p{n}.product_id = e.product_id AND p{n}.region = r.region AND p{n}.week = e.week + {to_label}
LEFT JOIN plan_{n} AS p{n}_now ON p{n}_now.product_id = e.product_id AND p{n}_now.region = r.region AND p{n}_now.week = e.week
