-- What `make run` shows: Debian's Lua, unmodified, alone on a machine of its own.
print("Hello from " .. _VERSION .. " on Thunk.")
io.stdout:flush()

local primes, sieve, limit = 0, {}, 1000000
for n = 2, limit do
    if not sieve[n] then
        primes = primes + 1
        for multiple = n * n, limit, n do
            sieve[multiple] = true
        end
    end
end
print(string.format("There are %d primes below %d; counting them took %.2f seconds.",
    primes, limit, os.clock()))
