-- Who is at the last step today: one SELECT that returns `unit`.
SELECT customer_id AS unit
FROM customers
WHERE recency = 6
