ALTER TABLE orders DROP COLUMN confirmation_email;
