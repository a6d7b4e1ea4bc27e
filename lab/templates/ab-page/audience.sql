-- Who sees the new page, once it is scaled: one SELECT that returns `unit`.
SELECT customer_id AS unit
FROM customers
WHERE recency <= 12
