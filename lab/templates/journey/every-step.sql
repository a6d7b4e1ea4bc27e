-- Who is at one of the steps today: one SELECT that returns `unit`.
SELECT [[ population.key | name ]] AS unit
FROM [[ population.table | name ]]
WHERE recency IN (1, 3, 6)
