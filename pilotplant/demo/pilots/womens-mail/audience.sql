-- Customers who bought within the last half year.
SELECT customer_id AS unit
FROM customers
WHERE recency <= 6
