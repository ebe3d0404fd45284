-- Without the roles, agents of custom roles have the scopes of every agent.
ALTER TABLE users DROP COLUMN staff_role_id;
DROP TABLE roles;
