-- Who is at one of the steps today: one SELECT that returns `unit`.
SELECT customer_id AS unit
FROM customers
WHERE recency IN (1, 3, 6)
