-- Who is at one of the steps today: one SELECT that returns `unit`.
SELECT [[ population.key ]] AS unit
FROM [[ population.table ]]
WHERE recency IN (1, 3, 6)
