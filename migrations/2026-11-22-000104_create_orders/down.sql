DROP TABLE order_items, orders, products;
DROP SEQUENCE order_numbers;
DROP FUNCTION check_order_total();
