-- now: is anything known of the nonce?
if not unbroken() then
  return {-1}
end
end_lease()
return {(state and now < expires) and 1 or 0, ended}
