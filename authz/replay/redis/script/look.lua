-- now: is anything known of the nonce?
end_lease()
return {(state and now < expires) and 1 or 0, ended}
