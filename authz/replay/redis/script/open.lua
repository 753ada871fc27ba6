-- now, id: is the outcome of the reservation open? Nothing is changed.
return {(held and not held.final and held.id == ARGV[2]) and 1 or 0}
