-- Who gets the mail, once it is scaled: one SELECT that returns `unit`.
SELECT [[ population.key | name ]] AS unit
FROM [[ population.table | name ]]
[% if population.has("recency") -%]
WHERE recency <= 12
[% endif -%]
