-- What `make run` shows: Debian's Lua, unmodified, alone on a machine of its own.
local primes, sieve, limit = 0, {}, 1000000
for n = 2, limit do
    if not sieve[n] then
        primes = primes + 1
        for multiple = n * n, limit, n do
            sieve[multiple] = true
        end
    end
end
print(string.format("Hello from %s: there are %d primes below %d.", _VERSION, primes, limit))
