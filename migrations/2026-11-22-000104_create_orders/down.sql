DROP TABLE order_items, orders, products;
DROP FUNCTION check_order_total();
