"""The month of bills that the demo imports: three files of JSON lines, and the script that wrote them."""
