-- Who gets the mail, once it is scaled: one SELECT that returns `unit`.
SELECT customer_id AS unit
FROM customers
WHERE recency <= 12
