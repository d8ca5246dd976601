LEFT JOIN plan_{n}_since AS p{n}_since ON p{n}_since.product_id = e.product_id AND p{n}_since.region = r.region AND p{n}_since.week = e.week
LEFT JOIN plan_{n}_lift AS p{n}_product ON p{n}_product.product_id = e.product_id AND p{n}_product.week = e.week
LEFT JOIN plan_{n}_lift AS p{n}_category ON p{n}_category.category_key = e.category_key AND p{n}_category.region = r.region AND p{n}_category.week = e.week
LEFT JOIN plan_{n}_lift AS p{n}_region ON p{n}_region.product_id IS NULL AND p{n}_region.category_key IS NULL AND p{n}_region.region = r.region AND p{n}_region.week = e.week
